"""PE files, as UEFI firmware starts them: sections, unified kernel images, signatures of Secure Boot."""

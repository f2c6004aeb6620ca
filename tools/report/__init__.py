"""What takes the space in an image, and what is worth a look in it: measured, compared, checked and shown."""

"""Software bills of materials of root trees, and reports of vulnerabilities by them."""

"""What is inside an image: its volumes, and the differences between images and files."""

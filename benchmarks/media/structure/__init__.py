"""Parse media files into elements, mutate the elements, and write them again."""

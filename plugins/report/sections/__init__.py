"""The sections of a page, one file each: what is said in them, worked out beforehand."""

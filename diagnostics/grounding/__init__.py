"""How much of the answer, and of what each exit holds, depends on the lesion."""

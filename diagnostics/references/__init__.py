"""The supervised reference of a data set: what its images allow, whatever the model under test does with them."""

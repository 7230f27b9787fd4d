"""The Allure report: what a check shows in it, and the files beside its results."""

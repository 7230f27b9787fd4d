"""The last link in three: from the last layer into the options, to the likeliest option, to the words that are said."""

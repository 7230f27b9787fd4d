"""From images to features and answers: one forward pass an image."""

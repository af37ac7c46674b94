"""What is shown of finished runs to those who didn't train them: a page, a W&B report, a W&B workspace."""

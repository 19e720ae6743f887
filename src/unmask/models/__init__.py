"""What a denoiser is and which there are."""

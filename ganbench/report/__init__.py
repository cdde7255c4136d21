"""Pictures, sounds and animations of samples; tools for latents and activations."""

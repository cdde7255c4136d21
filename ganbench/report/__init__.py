"""Pictures, sounds and animations of samples."""

"""Settings, files and results of one study."""

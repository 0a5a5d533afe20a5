package descriptors

// presetSpec is a preset as a file states it.
type presetSpec struct{}

// presets reads the presets of a file.
func (w *walker) presets(field) []*presetSpec { return nil }

// presets are the rules that the presets of all files stand for.
func (c *compiler) presets([]*file) []*rule { return nil }

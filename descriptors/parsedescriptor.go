package descriptors

import "strings"

// ParseDescriptor reads KEY=VALUE,KEY=VALUE. A backslash takes the character behind it as
// it is.
func ParseDescriptor(text string) (d Descriptor, ok bool) {
	if !strings.Contains(text, `\`) {
		return plainEntries(text)
	}
	var part strings.Builder
	key, keyed := "", false
	ok = true
	finish := func() {
		ok = ok && keyed && key != ""
		d.Entries = append(d.Entries, Entry{Key: key, Value: part.String()})
		key, keyed = "", false
		part.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			part.WriteByte(text[i])
		case c == '=' && !keyed:
			key, keyed = part.String(), true
			part.Reset()
		case c == ',':
			finish()
		default:
			part.WriteByte(c)
		}
	}
	finish()
	return d, ok
}

// plainEntries is ParseDescriptor where nothing is escaped: no text is copied.
func plainEntries(text string) (d Descriptor, ok bool) {
	d.Entries, ok = make([]Entry, 0, strings.Count(text, ",")+1), true
	for entry := range strings.SplitSeq(text, ",") {
		key, value, keyed := strings.Cut(entry, "=")
		ok = ok && keyed && key != ""
		d.Entries = append(d.Entries, Entry{Key: key, Value: value})
	}
	return d, ok
}

package simulate

// event is something that happens at a time: a request ends, or a caller who is held
// asks again.
type event struct {
	caller *caller

	domain, receipt string
	status          int
}

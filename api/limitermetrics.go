package api

// limitCounter returns what counts the work of the limits. All of them are
// there from the start, so that a graph shows a 0 and not nothing.
func (m *metrics) limitCounter() func(limit string) {
	vec := m.counters("limited_total", "Times that a limit refused a client or made it wait.", "limit")
	byName := map[string]interface{ Inc() }{}
	for _, name := range limitNames {
		byName[name] = vec.WithLabelValues(name)
	}
	return func(limit string) {
		if c := byName[limit]; c != nil {
			c.Inc()
		}
	}
}

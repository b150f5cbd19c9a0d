package run

// Counts says how many sessions have a place among the runners, and how many
// wait for one.
func (m *Manager) Counts() (running, waiting int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.active, len(m.waiting)
}

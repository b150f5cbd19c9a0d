package agent

import (
	"bytes"

	"github.com/konlog/konlog/store"
)

// LinePart is the data of an event of the type agent that is a part of a line
// that was too long to be read as one. Beside it data has the part's content, as
// Fit puts it there. The last part is without more.
type LinePart struct {
	Part int  `json:"part"` // 1, 2, 3 …
	More bool `json:"more,omitempty"`
}

// Part is the event of a part of a line, with the content as Raw. No log takes
// it so: Fit, to which it goes next, puts the content into a blob.
func Part(part int, more bool, content []byte) store.Draft {
	return store.Draft{Type: TypeLine, Data: mustJSON(LinePart{Part: part, More: more}), Raw: content}
}

// isPart reports whether Part made the draft. No line that an agent prints
// becomes one like it: data that is an object gives its line back without Raw.
func isPart(d *store.Draft) bool {
	return d.Type == TypeLine && d.Raw != nil && bytes.HasPrefix(d.Data, []byte(`{"part":`))
}

// NeedsFit reports whether Fit has to be asked before the draft is appended.
func NeedsFit(d *store.Draft, max int) bool { return d.Size() > max || isPart(d) }

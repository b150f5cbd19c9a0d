package shell

import (
	"encoding/json"

	"github.com/konlog/konlog/store"
)

type inputData struct {
	Bytes []byte `json:"bytes"`
	Text  string `json:"text"`
}

type sizeData struct {
	Cols int `json:"cols"`
	Rows int `json:"rows"`
}

// typed is what an input event wants typed; nil when it says nothing that can be.
func typed(e *store.Event) []byte {
	var d inputData
	if json.Unmarshal(e.Data, &d) != nil {
		return nil
	}
	if d.Bytes != nil {
		return d.Bytes
	}
	return []byte(d.Text)
}

func outputDraft(content []byte) store.Draft {
	return store.Draft{Type: store.TypeTerminalOutput, Data: mustJSON(map[string][]byte{"bytes": content})}
}

func exitDraft(data map[string]any) store.Draft {
	return store.Draft{Type: store.TypeTerminalExit, Data: mustJSON(data)}
}

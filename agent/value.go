package agent

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// object is a JSON object whose members are read without minding what form
// they have: what is not there, or of another form, is the zero value. Values
// keep their bytes, so that numbers stay what they were.
type object map[string]json.RawMessage

// parseObject reads an object; ok is false for any other value.
func parseObject(value []byte) (o object, ok bool) {
	if json.Unmarshal(value, &o) != nil || o == nil {
		return nil, false
	}
	return o, true
}

// str is a string, or "".
func (o object) str(name string) string {
	var s string
	if json.Unmarshal(o[name], &s) != nil {
		return ""
	}
	return s
}

// id is a string or a number as text, or "".
func (o object) id(name string) string {
	v := o[name]
	if len(v) > 0 && (v[0] == '-' || v[0] >= '0' && v[0] <= '9') {
		return string(v)
	}
	return o.str(name)
}

// obj is an object, or one without members.
func (o object) obj(name string) object {
	sub, _ := parseObject(o[name])
	return sub
}

// list is an array's values, or none.
func (o object) list(name string) (values []json.RawMessage) {
	if json.Unmarshal(o[name], &values) != nil {
		return nil
	}
	return values
}

// objects is the objects of an array.
func (o object) objects(name string) (all []object) {
	for _, v := range o.list(name) {
		if sub, ok := parseObject(v); ok {
			all = append(all, sub)
		}
	}
	return all
}

// is reports whether the member is true.
func (o object) is(name string) bool { return string(o[name]) == "true" }

// has reports whether the member is there and not null.
func (o object) has(name string) bool { return len(o[name]) > 0 && string(o[name]) != "null" }

// number is a number's own bytes, or "".
func (o object) number(name string) json.Number {
	if v := o[name]; len(v) > 0 && (v[0] == '-' || v[0] >= '0' && v[0] <= '9') {
		return json.Number(v)
	}
	return ""
}

// firstOf is the first of the members that is there and not null.
func (o object) firstOf(names ...string) json.RawMessage {
	for _, name := range names {
		if o.has(name) {
			return o[name]
		}
	}
	return nil
}

// body writes the data of an event: members in their order.
type body struct{ b []byte }

// raw adds a value as it is, unless there is none.
func (b *body) raw(name string, value []byte) *body {
	if len(value) == 0 || string(value) == "null" {
		return b
	}
	b.name(name)
	b.b = append(b.b, value...)
	return b
}

// str adds a string, unless it is empty.
func (b *body) str(name, value string) *body {
	if value == "" {
		return b
	}
	return b.text(name, value)
}

// text adds a string, also an empty one.
func (b *body) text(name, value string) *body {
	b.name(name)
	b.b = append(b.b, textData([]byte(strings.ToValidUTF8(value, "\uFFFD")))...)
	return b
}

// yes adds true, unless it is false.
func (b *body) yes(name string, value bool) *body {
	if !value {
		return b
	}
	return b.truth(name, value)
}

// truth adds true or false.
func (b *body) truth(name string, value bool) *body {
	b.name(name)
	if value {
		b.b = append(b.b, "true"...)
	} else {
		b.b = append(b.b, "false"...)
	}
	return b
}

func (b *body) name(name string) {
	if len(b.b) == 0 {
		b.b = append(b.b, '{')
	} else {
		b.b = append(b.b, ',')
	}
	b.b = append(append(b.b, textData([]byte(name))...), ':')
}

// data ends the object.
func (b *body) data() []byte {
	if len(b.b) == 0 {
		return []byte("{}")
	}
	return append(bytes.Clone(b.b), '}')
}

// namesMax bounds each of the names that a format or a Mapper keeps because
// later lines refer to them; the oldest is forgotten.
const namesMax = 10_000

// few is a map that forgets what was put in first.
type few[V any] struct {
	m     map[string]V
	order []string
}

func (f *few[V]) get(key string) (V, bool) {
	v, ok := f.m[key]
	return v, ok
}

func (f *few[V]) put(key string, v V) {
	if f.m == nil {
		f.m = map[string]V{}
	}
	if _, there := f.m[key]; !there {
		if len(f.order) >= namesMax {
			delete(f.m, f.order[0])
			f.order = f.order[1:]
		}
		f.order = append(f.order, key)
	}
	f.m[key] = v
}

func (f *few[V]) drop(key string) {
	if _, there := f.m[key]; !there {
		return
	}
	delete(f.m, key)
	for i, k := range f.order {
		if k == key {
			f.order = append(f.order[:i:i], f.order[i+1:]...)
			return
		}
	}
}

// sortedKeys lists the members' names in their order.
func sortedKeys(o object) []string { return slices.Sorted(maps.Keys(o)) }

// quoted is a string's own bytes, with its quotes, or nil.
func (o object) quoted(name string) []byte {
	if v := o[name]; len(v) > 0 && v[0] == '"' {
		return v
	}
	return nil
}

// object is an object's own bytes, or nil.
func (o object) object(name string) json.RawMessage {
	if v := o[name]; len(v) > 0 && v[0] == '{' {
		return v
	}
	return nil
}

// errorText is what an error says, in the forms that agents have for it: a
// text, or an object that has it as message, also within data or error.
func errorText(value []byte) string {
	for range errorDepthMax {
		var text string
		if json.Unmarshal(value, &text) == nil {
			return text
		}
		o, _ := parseObject(value)
		if text = o.str("message"); text != "" {
			return text
		}
		if value = o.firstOf("data", "error"); value == nil {
			return o.str("name")
		}
	}
	return ""
}

// errorDepthMax is how deep the text of an error may stand.
const errorDepthMax = 4

// hasKey reports whether the member is there, also as null.
func (o object) hasKey(name string) bool {
	_, there := o[name]
	return there
}

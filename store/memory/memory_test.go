package memory_test

import (
	"testing"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/store/storetest"
)

var engine = storetest.Engine{Open: func(_ *testing.T, o storetest.Options) store.Log {
	return memory.New(memory.Options{Committed: o.Committed, Now: o.Now, EventBytesMax: o.EventBytesMax, Quotas: o.Quotas})
}}

func TestContract(t *testing.T) { storetest.Run(t, engine) }

// The reference beside itself proves nothing about it; it shows that Model
// compares nothing that two engines may differ in.
func TestModel(t *testing.T) { storetest.Model(t, engine) }

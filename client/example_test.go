package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// A server of its own stands in for http://127.0.0.1:8787.
func exampleServer() *httptest.Server {
	hub := stream.NewHub()
	engine := memory.New(memory.Options{Committed: hub.Committed})
	return httptest.NewServer(api.New(engine, hub, api.Config{}).Handler())
}

func Example() {
	server := exampleServer()
	defer server.Close()
	ctx := context.Background()

	c, err := client.New(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for _, word := range []string{"durable", "ordered"} {
		d := store.Draft{Type: "text", Data: fmt.Appendf(nil, `{"text":%q}`, word)}
		if _, err := c.Append(ctx, "s1", client.AppendOptions{}, d); err != nil {
			log.Fatal(err)
		}
	}
	// The loop follows the session for as long as ctx lives.
	for e, err := range c.Tail(ctx, "s1", client.TailOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s %s\n", e.ID, e.Type, e.Data)
		if e.ID == 2 {
			break
		}
	}
	// Output:
	// 1 text {"text":"durable"}
	// 2 text {"text":"ordered"}
}

func ExampleClient_Producer() {
	server := exampleServer()
	defer server.Close()
	ctx := context.Background()

	c, err := client.New(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	p := c.Producer("s1", "agent-7", 1)
	for range 3 {
		a, err := p.Append(ctx, store.Draft{Type: "usage"})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(a.First)
	}
	// Output:
	// 1
	// 2
	// 3
}

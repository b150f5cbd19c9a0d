package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// metaAgent is the member of a session's meta that names its agent.
const metaAgent = "agent"

// useAgent makes the session ask for one of the server's agents.
func useAgent(ctx context.Context, cl *client.Client, session, name string) error {
	health, err := cl.Health(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(health.Agents, name) {
		hint := "this server runs none: konlog serve --agent " + name + "=COMMAND"
		if len(health.Agents) > 0 {
			hint = "this server runs " + strings.Join(health.Agents, ", ")
		}
		return usagef("the server runs no agent %q", name).because("%s", hint)
	}
	s, _, err := cl.CreateSession(ctx, session, store.SessionSpec{})
	if err != nil {
		return err
	}
	meta := map[string]json.RawMessage{} // of others: their bytes stay
	if err := json.Unmarshal(s.Meta, &meta); len(s.Meta) > 0 && err != nil {
		return failf("meta of session %s: %w", session, err)
	}
	quoted, err := json.Marshal(name)
	if err != nil || string(meta[metaAgent]) == string(quoted) {
		return err
	}
	meta[metaAgent] = quoted
	b, err := json.Marshal(meta)
	if err != nil {
		return failf("meta of session %s: %w", session, err)
	}
	raw := json.RawMessage(b)
	_, err = cl.UpdateSession(ctx, session, store.SessionPatch{Meta: &raw})
	return err
}

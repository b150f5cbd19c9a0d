package main

import (
	"github.com/spf13/cobra"

	"github.com/konlog/konlog/internal/bench"
)

// benchCommand is the load generator, which has a package of its own.
func (a *app) benchCommand() *cobra.Command { return bench.Command() }

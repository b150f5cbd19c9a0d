package run

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// exited is told that the child is gone, after its last line. It ends what
// only the child could have ended.
func (r *Runner) exited(x exit, err error) {
	halted := r.halt != nil || r.child.quits && !r.child.late
	stopped := r.halt != nil && !r.halt.process
	if r.child.late {
		err = fmt.Errorf("the agent did not get ready within %s", r.c.ReadyWait)
	}
	r.child.clear()
	if r.child.resumed != "" && !halted {
		r.agentID = "" // it did not go on with it: the next one begins anew
	}
	r.child = nil
	for _, task := range slices.Sorted(maps.Keys(r.tasks)) {
		r.put(r.draft(store.TypeTaskEnd, r.mapper.Turn(), map[string]any{"taskId": task, "status": "killed", "success": false}, r.key()))
	}
	clear(r.tasks)
	r.put(r.draft(store.TypeProcessExit, r.mapper.Turn(), r.exitData(x, halted), r.key()))
	clear(r.took)
	r.halt = nil
	if r.mapper.Turn() == "" {
		return
	}
	e := agent.End{Reason: "exit", Error: exitText(x, err), Text: strings.TrimRight(string(r.output), "\n")}
	plain := r.format() == agent.FormatLines
	switch {
	case plain && x.Code == 0 && x.Signal == "" && err == nil && !stopped:
		e.Success, e.Reason, e.Error = true, "", ""
	case stopped:
		e.Reason, e.Error = "", "" // the mapper knows that it was stopped
	case err != nil:
		e.Reason = "error"
	}
	r.finish(e)
}

// exitData is the data of process_exit.
func (r *Runner) exitData(x exit, halted bool) map[string]any {
	data := map[string]any{"exitCode": x.Code, "reason": "exit"}
	switch {
	case halted:
		data["reason"] = "stopped"
	case x.Signal != "":
		data["reason"] = "signal"
	}
	if x.Signal != "" {
		data["signal"] = x.Signal
	}
	if text := r.clean(x.Stderr); text != "" {
		data["stderr"] = text
	}
	if len(r.took) > 0 {
		data["redacted"] = maps.Clone(r.took)
	}
	if unknown := r.mapper.Unknown(); len(unknown) > 0 {
		data["unknown"] = unknown // kinds of lines, since the runner began
	}
	return data
}

// exitText says why a turn ended that the agent did not end.
func exitText(x exit, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case x.Signal != "":
		return "the agent was ended by " + x.Signal + " before the turn was over"
	case x.Code != 0:
		return "the agent exited with code " + strconv.Itoa(x.Code) + " before the turn was over"
	}
	return "the agent exited before the turn was over"
}

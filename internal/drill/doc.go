// Package drill is the restore drill: the real binary under load loses its data
// directory and gets it back from a backup, or from a standby that takes over,
// and then readers and producers come to the same log again. It has tests only.
//
// KONLOG_DRILL_FIGURES=1 measures what a standby costs and how far it is behind.
package drill

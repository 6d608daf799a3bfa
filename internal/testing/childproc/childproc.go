// Package childproc owns the end of child processes: a process that a test or a
// benchmark started ends with its parent, however the parent ends. Only Linux
// supports this; on other systems the child may survive a killed parent.
// The package does not own starting or stopping processes.
package childproc

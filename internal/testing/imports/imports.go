// Package imports owns the direction in which the project's folders import
// each other. Its only content is a test, which fails for an import that the
// table does not allow and for a folder without a row.
//
// The package does not own which libraries a folder may use: .golangci.yml
// does.
package imports

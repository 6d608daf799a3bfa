// Package imports owns the table of allowed imports between the project's
// folders. The package consists of the table and a test. The test fails for an
// import missing from the table, and for a folder without a row.
//
// The package does not own the list of libraries for each folder: see
// .golangci.yml.
package imports

package main

// All generated code is made here, in this order: the data model's, and then
// that of the contract, which is bound to it.

//go:generate go run ent/entc.go
//go:generate go tool gqlgen generate

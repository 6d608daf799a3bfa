// Package node owns the names of the Go types for the schema's Node and connections.
// gqlgen finds the types by name.
//
// Package node does not own the types: package page and the rows of ent do.
package node

import (
	ent "tagma/ent/generated"
	"tagma/internal/base/nodeid"
	"tagma/internal/base/page"
)

// Node is an object with an id: every row of ent is a Node. NodeID returns the id.
// IsNode marks the type for gqlgen.
type Node interface {
	NodeID() nodeid.ID
	IsNode()
}

// The connections of the schema and the edges of the connections.
type (
	ImageConnection      = page.Page[*ent.Image]
	ImageEdge            = page.Edge[*ent.Image]
	DeviceConnection     = page.Page[*ent.Device]
	DeviceEdge           = page.Edge[*ent.Device]
	AnnotationConnection = page.Page[*ent.Annotation]
	AnnotationEdge       = page.Edge[*ent.Annotation]
	UserConnection       = page.Page[*ent.User]
	UserEdge             = page.Edge[*ent.User]
	VideoConnection      = page.Page[*ent.Video]
	VideoEdge            = page.Edge[*ent.Video]
	BundleConnection     = page.Page[*ent.Bundle]
	BundleEdge           = page.Edge[*ent.Bundle]

	BundleVersionConnection   = page.Page[*ent.BundleVersion]
	BundleVersionEdge         = page.Edge[*ent.BundleVersion]
	LabelSubmissionConnection = page.Page[*ent.LabelSubmission]
	LabelSubmissionEdge       = page.Edge[*ent.LabelSubmission]
)

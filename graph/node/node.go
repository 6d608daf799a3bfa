// Package node names for gqlgen the Go types behind the schema's Node and its
// connections. It holds no code of its own.
package node

import (
	ent "tagma/ent/generated"
	"tagma/internal/base/nodeid"
	"tagma/internal/base/page"
)

// Node is anything with an id of its own: every row of ent.
type Node interface {
	NodeID() nodeid.ID
	IsNode()
}

// The connections of the schema.
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

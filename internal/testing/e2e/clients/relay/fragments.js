// More that Relay compiles: an object that is fetched again by its id, and its
// images by pages.

import { graphql } from "relay-runtime";

export const page = graphql`
  fragment fragments_device on Device
  @argumentDefinitions(
    after: { type: "String" }
    first: { type: "Int", defaultValue: 2 }
  )
  @refetchable(queryName: "fragmentsDeviceQuery") {
    name
    images(first: $first, after: $after)
      @connection(key: "fragments_device_images") {
      edges {
        node {
          ...fragments_image
        }
      }
    }
  }
`;

export const image = graphql`
  fragment fragments_image on Image
  @refetchable(queryName: "fragmentsImageQuery") {
    takenAt
    file(variant: THUMBNAIL) {
      url
    }
  }
`;

export const submit = graphql`
  mutation fragmentsSubmitMutation($input: LabelSubmissionInput!) {
    submitLabels(input: $input, wait: "PT10S") {
      submission {
        status
        video {
          coverage
          submissions(first: 10) @connection(key: "fragments_submissions") {
            edges {
              node {
                frameIndex
              }
            }
          }
        }
      }
    }
  }
`;

export const viewer = graphql`
  query fragmentsQuery($id: ID!) {
    viewer {
      username
    }
    node(id: $id) {
      ...fragments_device @alias
    }
  }
`;

export const added = graphql`
  subscription fragmentsSubscription {
    imageAdded {
      ...fragments_image
    }
  }
`;

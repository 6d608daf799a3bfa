// The normalized caches of Apollo Client and of urql, set up for the contract.

import { InMemoryCache } from "@apollo/client";
import { cacheExchange } from "@urql/exchange-graphcache";

/**
 * The types without an id. A cache keeps their objects inside the object that
 * holds them.
 */
export const withoutId = `
  ActivityBucket Algorithm AnnotatedObject AnnotationConnection AnnotationEdge
  BoundingBox BundleConnection BundleEdge BundleFile BundleUploadTarget
  BundleVersionConnection BundleVersionEdge ChangePasswordPayload
  CreateAccessTokenPayload CreateLabelSetPayload CreateUsersPayload
  DeleteImagesPayload DeviceConnection DeviceEdge FileLink Header ImageConnection
  ImageDiff ImageEdge Label LabelDefinition LabelSubmissionConnection
  LabelSubmissionEdge Limits LoginPayload LogoutPayload PageInfo Problem
  PublishBundlePayload PutAnnotationResult PutAnnotationsPayload
  RequestBundleUploadPayload RevokeAccessTokenPayload ServerInfo
  SubmitLabelsPayload Summary UpdateUserPayload UploadImagesPayload UploadResult
  UserConnection UserEdge VideoConnection VideoEdge
`
  .trim()
  .split(/\s+/);

/** For `new ApolloClient({ cache: apolloCache(), … })`. */
export const apolloCache = () =>
  new InMemoryCache({
    typePolicies: Object.fromEntries(
      withoutId.map((type) => [type, { keyFields: false }]),
    ),
  });

/** For `new Client({ exchanges: [urqlCache(), fetchExchange], … })`. */
export const urqlCache = () =>
  cacheExchange({
    keys: Object.fromEntries(withoutId.map((type) => [type, () => null])),
  });

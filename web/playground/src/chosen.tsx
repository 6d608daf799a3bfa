import { useGraphiQL } from "@graphiql/react";
import { useEffect, useRef } from "react";

/** Brings the operation that was chosen by its name into the editor's sight. */
export function Chosen() {
  const name = useGraphiQL((state) => state.operationName);
  const operations = useGraphiQL((state) => state.operations);
  const editor = useGraphiQL((state) => state.queryEditor);
  const before = useRef(name);

  useEffect(() => {
    const chosen = operations?.find(
      (operation) => operation.name?.value === name,
    );
    // The first name is that of an operation which nobody has chosen.
    if (before.current && chosen?.loc)
      editor?.revealLineNearTop(chosen.loc.startToken.line);
    before.current = name;
  }, [name]); // not while somebody is writing

  return null;
}

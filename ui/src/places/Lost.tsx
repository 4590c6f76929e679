import { Link } from "@tanstack/react-router";
import { PageHead } from "../ui/Panel";

export function Lost() {
  return (
    <PageHead
      crumb="Where am I?"
      title="There is no such page"
      lead={
        <>
          The address leads nowhere. Go to the <Link to="/">overview</Link> or press Ctrl K to find something.
        </>
      }
    />
  );
}

import { getRouteApi, useNavigate } from "@tanstack/react-router";

const route = getRouteApi("/workbench");

export function Tabs() {
  const { tab } = route.useSearch();
  const navigate = useNavigate();
  const now = tab ?? "explore";
  return (
    <fieldset className="seg bare">
      <legend className="sr">View</legend>
      {(["explore", "golden"] as const).map((each) => (
        <button
          key={each}
          type="button"
          aria-pressed={each === now}
          onClick={() => void navigate({ to: "/workbench", search: (old) => ({ ...old, tab: each }) })}
        >
          {each === "explore" ? "Explore" : "Golden path"}
        </button>
      ))}
    </fieldset>
  );
}

import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { meQuery } from "../api/queries";
import { Dialog } from "../ui/Dialog";
import { useRange } from "./hooks";
import { RANGES, type RangeName } from "./search";
import type { Theme } from "./theme";

interface Props {
  onClose: () => void;
  theme: Theme;
  onTheme: () => void;
  onKey: () => void;
  onMessages: () => void;
  onPalette: () => void;
}

/** What the top bar holds on a desk, for the phone. */
export function MoreDialog({ onClose, theme, onTheme, onKey, onMessages, onPalette }: Props) {
  const me = useQuery(meQuery).data;
  const range = useRange();
  const navigate = useNavigate();
  return (
    <Dialog
      title="More"
      onClose={onClose}
      foot={
        <button type="button" className="btn" onClick={onClose}>
          Close
        </button>
      }
    >
      <div className="field">
        <label htmlFor="more-range">Time range</label>
        <select
          id="more-range"
          className="input"
          value={range.name}
          onChange={(event) =>
            void navigate({
              to: ".",
              search: (old) => ({ ...old, range: event.target.value as RangeName }),
            })
          }
        >
          {(Object.keys(RANGES) as RangeName[]).map((name) => (
            <option key={name} value={name}>
              {RANGES[name].name}
            </option>
          ))}
        </select>
      </div>
      <Link to="/connect" className="btn wide" onClick={onClose}>
        Connect &amp; admin
      </Link>
      <button type="button" className="btn wide" onClick={onPalette}>
        Find or do
      </button>
      <button type="button" className="btn wide" onClick={onMessages}>
        Messages
      </button>
      <button type="button" className="btn wide" onClick={onTheme}>
        Theme: {theme}
      </button>
      <button type="button" className="btn wide" onClick={onKey}>
        {me?.role ? `You are ${me.name}, role ${me.role}` : "Enter a key"}
      </button>
    </Dialog>
  );
}

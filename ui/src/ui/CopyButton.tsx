import { Icon } from "./Icon";
import { toast } from "./toasts";

export function CopyButton({ text, what }: { text: string; what: string }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      toast({ text: "Copied" });
    } catch {
      toast({ text: "The browser did not allow copying", detail: "Mark the text and copy it by hand." });
    }
  };
  return (
    <button type="button" className="btn s" onClick={() => void copy()}>
      <Icon name="copy" /> Copy
      <span className="sr"> {what}</span>
    </button>
  );
}

import { Snippet } from "../../../ui/Snippet";

interface SnippetBoxProps<T extends string> {
  /** What the choices are kinds of. */
  legend: string;
  choices: readonly T[];
  chosen: T;
  onChoose: (choice: T) => void;
  text: string;
}

/** Text to paste, one for each of several programs. */
export function SnippetBox<T extends string>({
  legend,
  choices,
  chosen,
  onChoose,
  text,
}: SnippetBoxProps<T>) {
  return (
    <>
      <fieldset className="seg bare wraps" style={{ marginBottom: 10 }}>
        <legend className="sr">{legend}</legend>
        {choices.map((each) => (
          <button key={each} type="button" aria-pressed={each === chosen} onClick={() => onChoose(each)}>
            {each}
          </button>
        ))}
      </fieldset>
      <Snippet>{text}</Snippet>
    </>
  );
}

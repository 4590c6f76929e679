/** Words that a hyphen must not tear apart at the end of a line: `P-2`, `D-318`. */
const TIED = /\S*\w-\d\S*/g;

export function Words({ children }: { children: string }) {
  const parts: React.ReactNode[] = [];
  let end = 0;
  for (const match of children.matchAll(TIED)) {
    parts.push(
      children.slice(end, match.index),
      <span className="nowrap" key={match.index}>
        {match[0]}
      </span>,
    );
    end = match.index + match[0].length;
  }
  return (
    <>
      {parts}
      {children.slice(end)}
    </>
  );
}

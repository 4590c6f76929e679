/** Text to be copied as it stands; a long line scrolls, also by keyboard. */
export function Snippet({ children }: { children: string }) {
  return (
    <pre
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
      tabIndex={0}
      className="snippet"
    >
      <code>{children}</code>
    </pre>
  );
}

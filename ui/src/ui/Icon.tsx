const PATHS = {
  overview: ["M1.5 5c3-2.5 4 2 6.5 0s4-1 6.5-.5", "M1.5 8.5c3-2 4.5 2.5 6.5.5s4-1.5 6.5-.5", "M1.5 12h13"],
  alarms: ["M8 2 14.5 13.5h-13z", "M8 6.5v3.2", "M8 11.6v.1"],
  decisions: ["M2 2.5h12v11H2z", "M5 8l2.2 2.2L11.2 6"],
  workbench: ["M1.5 4.5 5 3l3.5 2 3-2.5 3 1", "M1.5 12l3-2 3.5 2.5 3.5-3 3 1.5", "M1.5 8h13"],
  connect: ["M6 2v3M10 2v3M4.5 5h7v2.500a3.5 3.5 0 0 1-7 0zM8 11v3.5"],
  copy: ["M5.5 5.500h8v8h-8z", "M3 10.500H2.500v-8h8V3"],
  clock: ["M8 4.5V8l2.4 1.6", "M2 8a6 6 0 1 0 12 0a6 6 0 1 0-12 0"],
  search: ["M10.8 10.8 14 14", "M2.2 7a4.8 4.8 0 1 0 9.6 0a4.8 4.8 0 1 0-9.6 0"],
  down: ["M4.5 6.5 8 10l3.5-3.5"],
  close: ["M4 4l8 8", "M12 4l-8 8"],
  link: [
    "M6.5 9.500l3-3",
    "M7 4.5 8.5 3a3 3 0 0 1 4.5 4.500L11.5 9",
    "M9 11.5 7.5 13A3 3 0 0 1 3 8.500L4.5 7",
  ],
  download: ["M8 2.500v8", "M4.5 7.5 8 11l3.5-3.5", "M3 13.500h10"],
  theme: ["M8 2a6 6 0 1 0 0 12z", "M8 2a6 6 0 0 1 0 12"],
  message: ["M2 3.500h12v8H8l-3.5 2.500v-2.500H2z"],
  more: ["M3 8h.01", "M8 8h.01", "M13 8h.01"],
  key: ["M9.5 6.5 14 2", "M12 4l1.5 1.5", "M3 10.500a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0"],
  cut: ["M2 12.500h10a2.5 2.5 0 0 0 .8-4.800A4 4 0 0 0 6 5.5", "M2.5 2.500l11 11"],
  zoomIn: ["M8 4v8", "M4 8h8"],
  zoomOut: ["M4 8h8"],
  left: ["M9.5 4.5 6 8l3.5 3.5"],
  right: ["M6.5 4.5 10 8l-3.5 3.5"],
  go: ["M3 8h9", "M8.5 4.5 12 8l-3.5 3.5"],
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth={name === "more" ? 2.4 : 1.4}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {PATHS[name].map((d) => (
        <path key={d} d={d} fill={name === "theme" && d.endsWith("z") ? "currentColor" : undefined} />
      ))}
    </svg>
  );
}

export function Tick() {
  return (
    <svg
      width="12"
      height="12"
      viewBox="0 0 12 12"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      aria-hidden="true"
    >
      <path d="M2 6.3 4.8 9 10 3" />
    </svg>
  );
}

export function Mark() {
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      <path d="M1.5 14.5h17" stroke="var(--ink)" strokeWidth="1.6" />
      <path
        d="M3 10.5c3-6.5 11-6.5 14 0"
        fill="none"
        stroke="var(--ink)"
        strokeWidth="1.6"
        strokeLinecap="round"
      />
      <circle cx="10" cy="10.5" r="2.3" fill="var(--ink)" />
    </svg>
  );
}

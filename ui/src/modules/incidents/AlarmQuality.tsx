import type { AlarmQuality as Quality } from "../../api/types";
import { Figure, Picture } from "../../ui/Figure";
import { clock, number, percent, sensorName } from "../../ui/format";
import { niceTicks, TimeGrid } from "../../ui/svg";

const TARGET = 1;
const FLOOD = 10;
const SLOT_MS = 600_000;

export function rateSummary(quality: Quality): string {
  const most = Math.max(0, ...quality.per_10_min.map((slot) => slot.count));
  return `Alarms per 10 minutes over four hours: mean ${number(quality.mean_per_10_min)}, highest ${most}, target at most ${TARGET} on average, a flood begins above ${FLOOD}.`;
}

export function qualityAnswer(quality: Quality): string {
  if (quality.flood_share > 0)
    return `Alarms came as a flood in ${percent(quality.flood_share)} of the time.`;
  const noisy = quality.chattering[0];
  if (noisy) {
    return `${sensorName(noisy)} chatters. A longer off-delay would quiet it.`;
  }
  if (quality.mean_per_10_min > TARGET) return "More alarms than one person can handle well.";
  return "A person can keep up with these alarms.";
}

function Bars({
  quality,
  width,
  height,
  flood,
}: {
  quality: Quality;
  width: number;
  height: number;
  flood: boolean;
}) {
  const slots = quality.per_10_min;
  const first = slots[0];
  const last = slots[slots.length - 1];
  const highest = Math.max(flood ? FLOOD : 3, ...slots.map((slot) => slot.count));
  const marks = niceTicks(0, highest, 3).filter(Number.isInteger);
  // The scale ends on a mark, so that the highest bar can be read.
  const step = (marks[1] ?? 1) - (marks[0] ?? 0);
  const most = flood ? highest * 1.2 : Math.ceil(highest / step) * step;
  const left = 22;
  const right = width - 76;
  const top = flood ? 6 : 18;
  const bottom = height - 20;
  const from = first ? Date.parse(first.at) : Date.now() - 24 * SLOT_MS;
  const to = (last ? Date.parse(last.at) : Date.now()) + SLOT_MS;
  const x = (t: number) => left + ((t - from) / (to - from)) * (right - left);
  const y = (v: number) => bottom - (v / most) * (bottom - top);
  const slot = Math.max(2, x(from + SLOT_MS) - x(from));
  return (
    <>
      <TimeGrid from={from} to={to} x={x} top={bottom} bottom={bottom} gap={76} />
      {flood ? null : (
        <text x={0} y={6}>
          per 10 min
        </text>
      )}
      {niceTicks(0, most, most / step).map((v) => (
        <g key={v}>
          <path className={v === 0 ? "axis-l" : "grid-l"} d={`M${left} ${Math.round(y(v)) + 0.5}H${right}`} />
          <text x={left - 8} y={y(v) + 4} textAnchor="end">
            {v}
          </text>
        </g>
      ))}
      {slots.map((each, index) =>
        each.count > 0 ? (
          <rect
            key={each.at}
            className={index >= slots.length - 2 ? "fink" : "fls"}
            x={x(Date.parse(each.at)) + 1}
            y={y(each.count)}
            width={Math.max(1, slot - 2)}
            height={bottom - y(each.count)}
            rx="1"
          />
        ) : null,
      )}
      {(flood ? [TARGET, FLOOD] : [TARGET]).map((v) => (
        <g key={v}>
          <path className="limit" d={`M${left} ${Math.round(y(v)) + 0.5}H${right}`} />
          <text className="lab" x={right + 6} y={y(v) + 4}>
            {v === FLOOD ? `flood ${v}` : `target ${v}`}
          </text>
        </g>
      ))}
    </>
  );
}

const rateTable = (quality: Quality) => ({
  columns: [{ name: "From" }, { name: "Alarms", right: true }],
  rows: quality.per_10_min
    .filter((slot) => slot.count > 0)
    .map((slot) => ({ key: slot.at, cells: [clock(slot.at), slot.count] })),
});

/** The strip on the overview: is the alarm system itself sound? */
export function AlarmQualityPanel({ quality }: { quality: Quality }) {
  const figures: [string, string, string?][] = [
    ["last 10 min", String(quality.last_10_min)],
    ["mean, 4 h", number(quality.mean_per_10_min)],
    ["in flood", number(quality.flood_share * 100, "rpm"), "%"],
    ["chattering", String(quality.chattering.length)],
    ["stale > 24 h", String(quality.stale)],
  ];
  return (
    <Figure
      name="Alarm quality"
      summary={rateSummary(quality)}
      height={104}
      table={() => rateTable(quality)}
      foot={
        <>
          <div className="in no-top">
            <dl className="figs">
              {figures.map(([name, value, unit]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd className="val">
                    {value}
                    {unit ? <small>{unit}</small> : null}
                  </dd>
                </div>
              ))}
            </dl>
          </div>
          <div className="in">
            <p className="cap">{qualityAnswer(quality)}</p>
          </div>
        </>
      }
    >
      {(width, height) => <Bars quality={quality} width={width} height={height} flood={false} />}
    </Figure>
  );
}

const MIX_TARGET = [5, 15, 80];

function mixOf(quality: Quality): number[] {
  const n = (p: number) => quality.by_priority[String(p)] ?? 0;
  const all = n(1) + n(2) + n(3) + n(4);
  if (all === 0) return [0, 0, 0];
  return [n(1), n(2), n(3) + n(4)].map((count) => Math.round((count / all) * 100));
}

/** The wide strip on the alarms page. */
export function AlarmQualityStrip({ quality }: { quality: Quality }) {
  const mix = mixOf(quality);
  const top = quality.top[0];
  return (
    <section className="panel q5" aria-label="Alarm quality">
      <div className="qa">
        <div className="rowf between">
          <h2>Rate per 10 min</h2>
          <span className="sm dim">last 4 h</span>
        </div>
        <Picture summary={rateSummary(quality)} height={96}>
          {(width, height) => <Bars quality={quality} width={width} height={height} flood />}
        </Picture>
      </div>
      <div className="qa">
        <h2>Flood</h2>
        <div className="val">
          {number(quality.flood_share * 100, "rpm")}
          <small>% of the time</small>
        </div>
        <p className="cap">Starts above 10 in 10 minutes, ends below 5.</p>
      </div>
      <div className="qa">
        <h2>Chattering</h2>
        <div className="val">
          {quality.chattering.length}
          <small>{quality.chattering.length === 1 ? "sensor" : "sensors"}, want 0</small>
        </div>
        <p className="cap">
          {top ? `Most alarms from ${sensorName(top.sensor)}: ${top.count}.` : "No alarm in the window."}
        </p>
      </div>
      <div className="qa">
        <h2>Priority mix, %</h2>
        <Picture
          height={74}
          summary={`Priority mix in percent: ${mix[0]} critical, ${mix[1]} high, ${mix[2]} medium and diagnostic; target 5, 15, 80.`}
        >
          {(width) => <Mix mix={mix} width={width} />}
        </Picture>
      </div>
      <div className="qa">
        <h2>Stale &gt; 24 h</h2>
        <div className="val">
          {quality.stale}
          <small>want &lt; 5</small>
        </div>
        <p className="cap">Standing for a day without an end helps nobody: resolve, repair or shelve.</p>
      </div>
    </section>
  );
}

function Mix({ mix, width }: { mix: number[]; width: number }) {
  const left = 48;
  const room = width - left - 2;
  const row = (name: string, values: number[], y: number) => {
    let x = left;
    return (
      <g>
        <text className="lab" x={0} y={y + 15}>
          {name}
        </text>
        {values.map((value, index) => {
          const w = (room * value) / 100;
          const at = x;
          x += w;
          if (value === 0) return null;
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: three fixed classes
            <g key={index}>
              <rect
                className={["fink", "fls", "fline"][index]}
                x={at}
                y={y}
                width={Math.max(1, w - 2)}
                height="20"
                rx="2"
              />
              {value > 12 ? (
                <text
                  x={at + 6}
                  y={y + 14}
                  style={{ fill: index === 0 ? "var(--ink-invert)" : "var(--ink)" }}
                >
                  {value}
                </text>
              ) : null}
            </g>
          );
        })}
      </g>
    );
  };
  return (
    <>
      {mix.some((v) => v > 0) ? row("now", mix, 4) : row("now", [0, 0, 0], 4)}
      {row("target", MIX_TARGET, 30)}
      <text x={left} y={68}>
        critical
      </text>
      <text x={width - 2} y={68} textAnchor="end">
        medium, low
      </text>
    </>
  );
}

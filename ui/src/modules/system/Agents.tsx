import { useQuery } from "@tanstack/react-query";
import { Fragment, useState } from "react";
import { type Agent, agentsQuery } from "../../api/sources";
import { age, moment } from "../../ui/format";
import { Empty, Loading, ProblemNote } from "../../ui/Note";
import { Panel } from "../../ui/Panel";
import { Scroll } from "../../ui/Scroll";
import { useNow } from "../../ui/time";

const SHOWN = 8;
const ORDER: readonly Agent["state"][] = ["retrying", "stopped", "starting", "running"];
const DOT: Record<Agent["state"], string> = {
  retrying: "dot hollow",
  stopped: "dot hollow",
  starting: "dot half",
  running: "dot",
};

export function agentsWorstFirst(a: Agent, b: Agent): number {
  return (
    ORDER.indexOf(a.state) - ORDER.indexOf(b.state) ||
    b.lag - a.lag ||
    Number(b.last_error != null) - Number(a.last_error != null) ||
    a.title.localeCompare(b.title)
  );
}

export function Agents() {
  const list = useQuery(agentsQuery);
  const now = useNow();
  const agents = [...(list.data?.items ?? [])].sort(agentsWorstFirst);
  const [all, setAll] = useState(false);
  const shown = all ? agents : agents.slice(0, SHOWN);
  const running = agents.filter((agent) => agent.state === "running").length;
  return (
    <Panel
      title="Agents"
      id="agents"
      meta={list.data ? `${running} of ${agents.length} running, worst first` : undefined}
    >
      {list.error ? (
        <div className="in">
          <ProblemNote error={list.error} retry={() => void list.refetch()} />
        </div>
      ) : null}
      {list.isPending ? <Loading what="Reading agents" /> : null}
      {list.isSuccess && agents.length === 0 ? (
        <Empty title="No agent runs" picture="rows">
          Agents notice, predict and tell by themselves. Each stands here with what it has handled and its
          last error.
        </Empty>
      ) : null}
      {agents.length > 0 ? (
        <Scroll label="Agents table">
          <table className="tbl">
            <thead>
              <tr>
                <th scope="col">Agent</th>
                <th scope="col">State</th>
                <th scope="col" className="r">
                  Lag
                </th>
                <th scope="col" className="r">
                  Handled
                </th>
                <th scope="col" className="r">
                  Failed
                </th>
                <th scope="col" className="r">
                  Active
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map((agent) => (
                <Fragment key={agent.name}>
                  <tr>
                    <td className="k wide-nowrap" title={agent.name}>
                      {agent.title.replaceAll("`", "")}{" "}
                      <span className="sm dim hide-phone">{agent.module}</span>
                    </td>
                    <td className="nowrap">
                      <span className="rowf nw tight">
                        <i className={DOT[agent.state]} />
                        {agent.state === "running" ? agent.state : <b>{agent.state}</b>}
                        {agent.restarts > 0 ? <span className="dim">{agent.restarts}× restarted</span> : null}
                      </span>
                    </td>
                    <td className="r">{agent.lag.toLocaleString("en-US")}</td>
                    <td className="r">{agent.handled.toLocaleString("en-US")}</td>
                    <td className="r">{agent.failed.toLocaleString("en-US")}</td>
                    <td className="r nowrap">
                      {agent.last_active_at ? `${age(now - Date.parse(agent.last_active_at))} ago` : "–"}
                    </td>
                  </tr>
                  {agent.last_error ? (
                    <tr className="why">
                      <td colSpan={6}>
                        <p className="stay breaks">
                          <span className="dim">
                            Last error{agent.last_error_at ? ` ${moment(agent.last_error_at, now)}` : ""}:
                          </span>{" "}
                          {agent.last_error}
                        </p>
                      </td>
                    </tr>
                  ) : null}
                </Fragment>
              ))}
            </tbody>
          </table>
        </Scroll>
      ) : null}
      {agents.length > SHOWN ? (
        <p className="in cap">
          <button type="button" className="linky" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show all ${agents.length}`}
          </button>
        </p>
      ) : null}
    </Panel>
  );
}

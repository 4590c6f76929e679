import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { acceptLevel } from "../../api/models";
import type { Anomaly } from "../../api/types";
import { useMay } from "../../shell/hooks";
import { CancelButton, Dialog } from "../../ui/Dialog";
import { sensorName } from "../../ui/format";
import { ProblemNote } from "../../ui/Note";
import { toast } from "../../ui/toasts";

/** For what looks unusual and is meant so, such as a new set point. */
export function TakeForNormal({ anomaly }: { anomaly: Anomaly }) {
  const may = useMay("engineer");
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const name = sensorName(anomaly.sensor);
  const accept = useMutation({
    mutationFn: () => acceptLevel(anomaly.anomaly_id),
    onSuccess: () => {
      toast({
        text: `${name}: this level is normal from now on`,
        detail: "The anomaly ends with the next calm readings.",
      });
      setAsking(false);
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["anomalies"] }),
  });
  return (
    <div>
      <button
        type="button"
        className="btn s"
        aria-haspopup="dialog"
        disabled={!may.ok}
        title={may.why ?? undefined}
        onClick={() => setAsking(true)}
      >
        This level is normal…
      </button>
      {may.why ? <p className="hint">Saying so {may.why}.</p> : null}
      {asking ? (
        <Dialog
          title={`Take the level of ${name} for normal`}
          lead="For a change that was meant, such as a new set point. The detector learns this level and is quiet about it from now on."
          onClose={() => setAsking(false)}
          onSubmit={() => accept.mutate()}
          foot={
            <>
              <CancelButton onClick={() => setAsking(false)} />
              <button type="submit" className="btn pri" disabled={accept.isPending}>
                Take it for normal
              </button>
            </>
          }
        >
          {accept.error ? <ProblemNote error={accept.error} what="It was not taken" /> : null}
        </Dialog>
      ) : null}
    </div>
  );
}

/** Every address of the app, relative to its base `/app`. Links are made from these and nothing else. */
export const paths = {
  overview: "/",
  alarms: "/alarms",
  incident: "/incidents/$incidentId",
  decisions: "/decisions",
  workbench: "/workbench",
  connect: "/connect",
} as const;

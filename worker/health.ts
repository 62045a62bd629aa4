// Whether load balancers should send this server clients: every worker of the generation serves, and this one still
// belongs to it. The supervisor says the first, this worker knows the second.

export type HealthState = "starting" | "degraded" | "serving" | "leaving";

export type Health = {
  readonly state: HealthState;
  /** What the supervisor last said of the generation as a whole. */
  hear(allServe: boolean): void;
  /** This worker drains, stops or leaves: nothing makes it healthy again. */
  leave(): void;
};

/** Not healthy until the supervisor says so. */
export function createHealth(): Health {
  let state: HealthState = "starting";
  return {
    get state() {
      return state;
    },
    hear(allServe) {
      if (state !== "leaving") state = allServe ? "serving" : "degraded";
    },
    leave() {
      state = "leaving";
    },
  };
}
